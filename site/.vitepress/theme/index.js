// The system's own fonts: nothing to wait for.
import theme from 'vitepress/theme-without-fonts'
import './style.css'

export default theme
